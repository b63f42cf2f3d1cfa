"""Looking into a running stack: who observes it, and what they are shown. Right of everything that runs."""
