"""Resting electrocardiograms: device files in, one recording out; quality, SampledData, drawing. Pure."""
