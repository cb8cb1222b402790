"""Metrics of a program for Prometheus: requests, gauges, the sum of several workers."""
