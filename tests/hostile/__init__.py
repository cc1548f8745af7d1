"""Rubbish, as providers, tools and web pages may send it, and how the service takes it.

`answers` is a grammar of what a model's provider may send; `turns` sends it through the service and
says what was wrong with what came out. `python -m tests.hostile --examples 10000` looks for more.
"""
