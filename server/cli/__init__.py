"""The commands of everturn."""
