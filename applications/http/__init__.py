"""Calls of services: what authors of applications and of connectors meet, and the one file that knows the HTTP library.

request     what is sent, and what signs it
response    what comes back; `stream` reads it; `compression`, `formats` and `xml` read its body
client      asks a service as one user
building    makes a request of a path, values and options
values      writes values as text, in all places of a request; `headers` those of headers
transport   what answers in the place of the network
wire        sends requests, over `connections`, along a `route`: nothing else imports an HTTP library
"""
