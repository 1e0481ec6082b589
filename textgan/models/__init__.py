"""Networks that write texts and networks that score them, and how texts are drawn."""
