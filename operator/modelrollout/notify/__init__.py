"""Telling people and programs outside of the cluster."""
