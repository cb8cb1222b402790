"""`userfold export`: the users of an application, as a file that `userfold import` takes."""
