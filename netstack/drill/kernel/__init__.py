"""Scripts against Linux itself: what netstack is held against, and the proof that scripts are read rightly."""
