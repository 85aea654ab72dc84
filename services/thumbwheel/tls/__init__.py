"""TLS of the doors: certificates read and checked, followed when their files change, made into what servers take."""
