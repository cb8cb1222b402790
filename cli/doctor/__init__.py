"""`userfold doctor`: facts about MongoDB and this machine, and what each means for Userfold."""
