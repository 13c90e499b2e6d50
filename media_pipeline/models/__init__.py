"""Models: what each is (cards), where its files are (store), how it is loaded and run."""
