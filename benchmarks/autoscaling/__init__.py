"""Hours of load in seconds: the platform's own scaling policy against others, by cost and by wait."""
