"""A desk whose facts and money hang on other fields than the subject."""
