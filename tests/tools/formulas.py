"Formulas as MathML, which browsers set by themselves: no script and no font is needed."
import re

from latex2mathml.converter import convert

RAISED = re.compile(r"<msup>(<mi>[^<]*</mi>)<m[io]>(&#x02032;|&#x0002A;|\*)</m[io]></msup>")


def mathml(tex, display="inline"):
    "A formula; primes and stars, which are raised and small by themselves, are not raised and made small once more."
    return RAISED.sub(r'<mrow>\1<mo lspace="0" rspace="0">\2</mo></mrow>', convert(tex, display=display))
