"""A SOAP service as text."""

from pathlib import Path

WSDL = (Path(__file__).parent / "servant.wsdl").read_text()


ENVELOPE = '<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body>{}</e:Body></e:Envelope>'
