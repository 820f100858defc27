"""LoRA adapters: what they are, and their conversion for llama.cpp."""
