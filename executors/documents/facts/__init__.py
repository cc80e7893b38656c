"""Facts in the text of a page: numbers that prove themselves, dates, amounts, names, what the document is."""
