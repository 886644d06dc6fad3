from operatorlab.subject import Subject


def check(subject: object) -> Subject:
    assert isinstance(subject, Subject)
    return subject
