"""Typed stack configuration: what ``Pulumi.<stack>.yaml`` says, and what is wrong with it."""
