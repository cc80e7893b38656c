"""Reading scanned documents: pages in, lines of text and facts out. Shared by the document algorithms."""
