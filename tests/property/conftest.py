"""Profiles of the property tests."""

from tests.property.budget import register

register()
