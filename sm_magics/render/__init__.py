"""Turns data into cards: `views` says what a card holds, `text` and `html` how it looks."""
