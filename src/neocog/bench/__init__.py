"""neocog beside what its users would pick instead: each measurement in a process of its own."""
