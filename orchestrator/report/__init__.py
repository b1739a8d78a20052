"""The HTML report of a sweep: `data` says what goes in, `render` turns it into one self-contained page."""
