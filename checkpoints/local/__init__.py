"""The data folder and the embedded Valkey, where no Redis is named."""
