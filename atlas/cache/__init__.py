"""Finished work: HDF5 blocks, their store, audit and reference files."""
