"""Jobs: the record, the queue that holds what is live, the store that holds what lasts, the services that move them."""
