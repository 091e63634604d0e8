"""The contracts of all events: their schemas, versions and compatibility, spoken in Confluent's protocol.

Owns schemas, subjects, versions and their settings. Hears nothing and says nothing: services and other
consumers ask it over HTTP at their start. People read the same contracts in its catalogue.
"""
