"""Every metric and every log event of the program, each declared once with its meaning."""
