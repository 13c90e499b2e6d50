"""One module per architecture: from the files of a card to something that answers for a picture."""
