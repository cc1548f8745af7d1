"""How the stores are: what an operator should know, and what can be put right without a risk."""
