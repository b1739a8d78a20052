"""Personalised captioning: says what a picture shows, in the style that this user wants."""
