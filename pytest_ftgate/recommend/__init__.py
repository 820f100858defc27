"""Verdicts become advice: is fine-tuning worth it here?"""
