"""Thin translators to and from other libraries."""
