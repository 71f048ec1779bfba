"""The keys of the tests are keys, whatever they cost."""

from collections.abc import Callable
from itertools import islice
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.fixtures import keys


def _made(number: int) -> list[rsa.RSAPrivateKey]:
    return [rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(number)]


def _pem(key: rsa.RSAPrivateKey) -> bytes:
    form = serialization.PrivateFormat.TraditionalOpenSSL
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


def test_no_two_are_alike(mint: Any) -> None:
    assert rsa.generate_private_key == mint.generate
    made = _made(30)
    assert len({key.private_numbers().public_numbers.n for key in made}) == len(made)
    assert {key.key_size for key in made} == {2048}


def test_each_stands_a_proof() -> None:
    *_, last = islice(keys._pairs(), 2)  # the second one is of primes that came one by one
    numbers = keys._numbers(65537, *last)
    assert numbers.private_key().private_numbers() == numbers, "it was proved just now"


def _changed(key: rsa.RSAPrivateKey) -> rsa.RSAPrivateNumbers:
    of = key.private_numbers()
    return rsa.RSAPrivateNumbers(of.p, of.q, of.d + 2, of.dmp1, of.dmq1, of.iqmp, of.public_numbers)


def _of_no_prime(key: rsa.RSAPrivateKey) -> rsa.RSAPrivateNumbers:
    of = key.private_numbers()
    return keys._numbers(65537, of.p, 3 * (of.q // 3))


@pytest.mark.parametrize("odd", [_changed, _of_no_prime], ids=["changed", "of no prime"])
def test_all_others_are_proved_when_they_are_read(
    odd: Callable[[rsa.RSAPrivateKey], rsa.RSAPrivateNumbers],
) -> None:
    read = serialization.load_pem_private_key
    assert read(_pem(_made(1)[0]), password=None)
    with pytest.raises(ValueError, match=r"nvalid|must be odd"):  # which one depends on the numbers
        read(_pem(odd(_made(1)[0]).private_key(unsafe_skip_rsa_key_validation=True)), password=None)
