"""The HTML report of a sweep: `data` says what goes in, `page` turns it into one self-contained page."""
