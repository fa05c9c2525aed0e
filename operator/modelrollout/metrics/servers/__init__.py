"""What servers export, as data: one table a kind of server, and the page that is made of them. No I/O."""
