from django.contrib.admin.utils import quote

from access.key_ids import is_key_id, new_key_id


def test_a_new_id_is_one() -> None:
    assert is_key_id(new_key_id())


def test_an_id_with_another_signature_is_none() -> None:
    made = new_key_id()
    assert not is_key_id(made[:-1] + ("A" if made[-1] != "A" else "B"))


def test_no_id_has_to_be_escaped_in_a_path_of_the_admin() -> None:
    made = [new_key_id() for _ in range(500)]
    assert [quote(one) for one in made] == made
    assert len(set(made)) == len(made)
