"""What happens to an answer when something behind the gateway breaks."""
