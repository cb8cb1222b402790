"""The methods that show what an application's data consist of, and how the server is."""
