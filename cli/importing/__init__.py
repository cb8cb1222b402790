"""`userfold import`: rows of a file become updates of users, each of which is stored or refused."""
