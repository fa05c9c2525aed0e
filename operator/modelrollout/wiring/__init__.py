"""Puts the objects together and runs them. Knows everything below it; decides nothing."""
