"""OpenAI's chat completions, and the many servers with the same format."""
