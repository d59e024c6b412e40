"""Attacks of users' actors on the system's messages: cron and rewards run in every epoch, whatever a block contains."""
