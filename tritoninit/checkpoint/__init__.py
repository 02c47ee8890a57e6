"""Checkpoints of initial values, written and verified without holding the model in memory.

A model on meta is planned; then every tensor of its state dict is computed in pieces of bounded
size, which go to safetensors files, or are compared with the ones there.
"""
