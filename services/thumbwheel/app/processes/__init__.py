"""The processes, a file each: what one is made of, the order in which it comes up and goes down. `up` is all in one."""
