"""The methods of the services: translate the request, plan, read or write the store, translate the response."""
