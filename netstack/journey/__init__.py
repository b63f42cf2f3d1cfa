"""One HTTP request from the first SYN to TIME-WAIT: recorded layer by layer, put in order, told and drawn."""
