"""Images whose every pixel has a class: shapes and digits on a background (class 0)."""
