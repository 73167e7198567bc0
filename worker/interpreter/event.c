/*
 * The type `engenho.Event`. It never changes and refers to nothing, so it needs no garbage
 * collection. Interpreter only.
 */
#include "worker/interpreter/event.h"

#include <datetime.h>
#include <errno.h>
#include <string.h>

#define DAY_US INT64_C(86400000000)

/* Of proto/event.proto; test_event.py holds them to it. */
enum {
    EVENT_CONNECTION = 1,
    EVENT_OBJECT = 2,
    EVENT_VALUE = 3,
    EVENT_PREVIOUS = 4,
    EVENT_QUALITY = 5,
    EVENT_TIMESTAMP = 6,
    EVENT_NAMED = 7,
    EVENT_TRANSITION = 8,
    EVENT_ID = 9
};
enum { VALUE_NUMBER = 1, VALUE_INTEGER = 2, VALUE_BOOLEAN = 3, VALUE_TEXT = 4, VALUE_BINARY = 5 };
enum { NAMED_NAME = 1, NAMED_INSTANCE = 2, NAMED_PAYLOAD = 3 };
enum {
    TRANSITION_PROCESS = 1,
    TRANSITION_INSTANCE = 2,
    TRANSITION_FROM = 3,
    TRANSITION_TO = 4,
    TRANSITION_FIELDS = 5
};
enum { FIELD_NAME = 1, FIELD_VALUE = 2 };

enum event_text {
    TEXT_CONNECTION,
    TEXT_OBJECT,
    TEXT_ID,
    TEXT_NAME,
    TEXT_INSTANCE,
    TEXT_PROCESS,
    TEXT_FROM,
    TEXT_TO
};

struct event {
    PyObject_VAR_HEAD uint8_t packed[]; /* Py_SIZE bytes */
};

static PyTypeObject *event_type;

PyObject *event_datetime(int64_t unix_us)
{
    int64_t days = unix_us / DAY_US;
    int64_t rest = unix_us % DAY_US;
    if (rest < 0) {
        rest += DAY_US;
        days--;
    }
    /* Days to the civil calendar: eras of 400 years that begin on 1 March. */
    int64_t shifted = days + 719468;
    int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
    int64_t of_era = shifted - era * 146097;
    int64_t year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month_shifted = (5 * of_year + 2) / 153;
    int day = (int)(of_year - (153 * month_shifted + 2) / 5 + 1);
    int month = (int)(month_shifted < 10 ? month_shifted + 3 : month_shifted - 9);
    int64_t year = year_of_era + era * 400 + (month <= 2);
    if (year < 1 || year > 9999) {
        PyErr_Format(PyExc_ValueError,
                     "%lld microseconds since 1970 are outside the years 1 to 9999",
                     (long long)unix_us);
        return NULL;
    }
    int64_t seconds = rest / 1000000;
    return PyDateTimeAPI->DateTime_FromDateAndTime(
        (int)year, month, day, (int)(seconds / 3600), (int)(seconds / 60 % 60), (int)(seconds % 60),
        (int)(rest % 1000000), PyDateTimeAPI->TimeZone_UTC, PyDateTimeAPI->DateTimeType);
}

PyObject *event_new(struct wire_span packed)
{
    struct event *self = PyObject_NewVar(struct event, event_type, (Py_ssize_t)packed.bytes);
    if (self != NULL && packed.bytes > 0) {
        memcpy(self->packed, packed.data, packed.bytes);
    }
    return (PyObject *)self;
}

static void event_release(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    PyObject_Free(object);
    Py_DECREF(type);
}

static PyObject *not_an_event(void)
{
    PyErr_SetString(PyExc_ValueError, "the record that started this execution is not an event");
    return NULL;
}

/* A field of the event: 1, 0: it is not there, -1 with an exception. */
static int find(PyObject *object, uint32_t number, enum wire_type type,
                struct wire_field *ret_field)
{
    struct event *self = (struct event *)object;
    int result =
        wire_find((struct wire_span){self->packed, (size_t)Py_SIZE(self)}, number, type, ret_field);
    if (result < 0) {
        not_an_event();
        return -1;
    }
    return result;
}

static PyObject *text_to_python(struct wire_span text)
{
    return PyUnicode_DecodeUTF8((const char *)text.data, (Py_ssize_t)text.bytes, "replace");
}

static PyObject *value_to_python(struct wire_span value)
{
    struct wire_field field = {0};
    int result;
    while ((result = wire_next(&value, &field)) > 0 && value.bytes > 0) {
        /* Of a oneof the last one counts. */
    }
    if (result < 0) {
        return not_an_event();
    }
    switch (field.number) {
    case VALUE_NUMBER: {
        double number;
        memcpy(&number, &field.value, sizeof(number));
        return PyFloat_FromDouble(number);
    }
    case VALUE_INTEGER:
        return PyLong_FromLongLong((int64_t)(field.value >> 1) ^ -(int64_t)(field.value & 1));
    case VALUE_BOOLEAN:
        return PyBool_FromLong(field.value != 0);
    case VALUE_TEXT:
        return text_to_python(field.span);
    case VALUE_BINARY:
        return PyBytes_FromStringAndSize((const char *)field.span.data,
                                         (Py_ssize_t)field.span.bytes);
    default:
        Py_RETURN_NONE;
    }
}

/* All Fields of a message that stand under this number, by name. */
static PyObject *fields_to_python(struct wire_span message, uint32_t number)
{
    PyObject *dictionary = PyDict_New();
    struct wire_field field;
    int result = 1;
    while (dictionary != NULL && (result = wire_next(&message, &field)) > 0) {
        struct wire_field name = {0};
        struct wire_field value = {0};
        if (field.number != number || field.type != WIRE_BYTES) {
            continue;
        }
        if (wire_find(field.span, FIELD_NAME, WIRE_BYTES, &name) < 0 ||
            wire_find(field.span, FIELD_VALUE, WIRE_BYTES, &value) < 0) {
            result = -EBADMSG;
            break;
        }
        PyObject *key = text_to_python(name.span);
        PyObject *object = key != NULL ? value_to_python(value.span) : NULL;
        if (object == NULL || PyDict_SetItem(dictionary, key, object) < 0) {
            Py_CLEAR(dictionary);
        }
        Py_XDECREF(key);
        Py_XDECREF(object);
    }
    if (dictionary != NULL && result < 0) {
        Py_DECREF(dictionary);
        return not_an_event();
    }
    return dictionary;
}

static PyObject *get_value(PyObject *self, void *number)
{
    struct wire_field field;
    int result = find(self, (uint32_t)(uintptr_t)number, WIRE_BYTES, &field);
    if (result == 0) {
        Py_RETURN_NONE;
    }
    return result > 0 ? value_to_python(field.span) : NULL;
}

static PyObject *get_quality(PyObject *self, void *unused)
{
    (void)unused;
    struct wire_field field = {0};
    return find(self, EVENT_QUALITY, WIRE_VARINT, &field) >= 0
               ? PyLong_FromUnsignedLong((uint32_t)field.value)
               : NULL;
}

static PyObject *get_timestamp(PyObject *self, void *unused)
{
    (void)unused;
    struct wire_field field = {0};
    return find(self, EVENT_TIMESTAMP, WIRE_VARINT, &field) >= 0
               ? event_datetime((int64_t)field.value)
               : NULL;
}

static PyObject *get_payload(PyObject *self, void *unused)
{
    (void)unused;
    struct wire_field field = {0};
    return find(self, EVENT_NAMED, WIRE_BYTES, &field) >= 0
               ? fields_to_python(field.span, NAMED_PAYLOAD)
               : NULL;
}

static PyObject *get_fields(PyObject *self, void *unused)
{
    (void)unused;
    struct wire_field field = {0};
    return find(self, EVENT_TRANSITION, WIRE_BYTES, &field) >= 0
               ? fields_to_python(field.span, TRANSITION_FIELDS)
               : NULL;
}

/* A text of the event, or of one of its messages: `inner` in `outer`; 0: of the event itself. */
static int find_text(PyObject *self, uint32_t outer, uint32_t inner, struct wire_span *ret_text)
{
    struct wire_field field = {0};
    int result = find(self, outer != 0 ? outer : inner, WIRE_BYTES, &field);
    if (result > 0 && outer != 0) {
        struct wire_span message = field.span;
        field = (struct wire_field){0};
        result = wire_find(message, inner, WIRE_BYTES, &field);
        if (result < 0) {
            not_an_event();
        }
    }
    *ret_text = field.span;
    return result;
}

static PyObject *get_text(PyObject *self, void *which)
{
    static const struct {
        uint32_t outer, inner;
    } places[] = {
        [TEXT_CONNECTION] = {0, EVENT_CONNECTION},
        [TEXT_OBJECT] = {0, EVENT_OBJECT},
        [TEXT_ID] = {0, EVENT_ID},
        [TEXT_NAME] = {EVENT_NAMED, NAMED_NAME},
        [TEXT_INSTANCE] = {EVENT_NAMED, NAMED_INSTANCE},
        [TEXT_PROCESS] = {EVENT_TRANSITION, TRANSITION_PROCESS},
        [TEXT_FROM] = {EVENT_TRANSITION, TRANSITION_FROM},
        [TEXT_TO] = {EVENT_TRANSITION, TRANSITION_TO},
    };
    enum event_text text = (enum event_text)(intptr_t)which;
    struct wire_span span;
    int result = find_text(self, places[text].outer, places[text].inner, &span);
    if (result == 0 && text == TEXT_INSTANCE) {
        result = find_text(self, EVENT_TRANSITION, TRANSITION_INSTANCE, &span);
    }
    return result >= 0 ? text_to_python(span) : NULL;
}

static PyObject *event_repr(PyObject *self)
{
    PyObject *connection = get_text(self, (void *)(intptr_t)TEXT_CONNECTION);
    PyObject *object = connection != NULL ? get_text(self, (void *)(intptr_t)TEXT_OBJECT) : NULL;
    PyObject *value = object != NULL ? get_value(self, (void *)(uintptr_t)EVENT_VALUE) : NULL;
    PyObject *timestamp = value != NULL ? get_timestamp(self, NULL) : NULL;
    PyObject *text = NULL;
    if (timestamp != NULL) {
        text = PyUnicode_FromFormat("<Event %U/%U value=%R timestamp=%S>", connection, object,
                                    value, timestamp);
    }
    Py_XDECREF(connection);
    Py_XDECREF(object);
    Py_XDECREF(value);
    Py_XDECREF(timestamp);
    return text;
}

#define TEXT(which) ((void *)(intptr_t)(which))

static PyGetSetDef event_members[] = {
    {"connection", get_text, NULL, "str: the connection that the event came from",
     TEXT(TEXT_CONNECTION)},
    {"object", get_text, NULL, "str: the variable of a data event, else ''", TEXT(TEXT_OBJECT)},
    {"value", get_value, NULL,
     "float, int, bool, str, bytes or None: the new value of a data event",
     (void *)(uintptr_t)EVENT_VALUE},
    {"previous", get_value, NULL,
     "the value before, as its source gave it; None when it is not known",
     (void *)(uintptr_t)EVENT_PREVIOUS},
    {"quality", get_quality, NULL, "int: OPC UA status code, 0 is good", NULL},
    {"timestamp", get_timestamp, NULL, "datetime: when it happened by its source; aware, UTC",
     NULL},
    {"name", get_text, NULL, "str: the name of an EPM event such as Period/P_2m, else ''",
     TEXT(TEXT_NAME)},
    {"instance", get_text, NULL, "str: the instance of an EPM event or of a process, else ''",
     TEXT(TEXT_INSTANCE)},
    {"payload", get_payload, NULL, "dict: the payload of an EPM event by name, else {}", NULL},
    {"process", get_text, NULL, "str: the process of a transition, else ''", TEXT(TEXT_PROCESS)},
    {"fromStage", get_text, NULL, "str: the stage that a process instance left, '' when it is new",
     TEXT(TEXT_FROM)},
    {"toStage", get_text, NULL, "str: the stage that a process instance entered, else ''",
     TEXT(TEXT_TO)},
    {"fields", get_fields, NULL, "dict: the fields of a process instance by name, else {}", NULL},
    {"id", get_text, NULL, "str: the source's own identifier of the event, or ''", TEXT(TEXT_ID)},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot event_slots[] = {
    {Py_tp_dealloc, event_release},
    {Py_tp_getset, event_members},
    {Py_tp_repr, event_repr},
    {Py_tp_doc,
     (void
          *)"What happened: a data event (object, value, previous, quality), an EPM event (name, instance, payload) or a\n"
            "transition (process, instance, fromStage, toStage, fields). Read only; made by Engenho."},
    {0, NULL},
};

static PyType_Spec event_spec = {
    .name = "engenho.Event",
    .basicsize = offsetof(struct event, packed),
    .itemsize = 1,
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = event_slots,
};

int event_type_add(PyObject *module)
{
    PyDateTime_IMPORT;
    if (PyDateTimeAPI == NULL) {
        return -1;
    }
    event_type = (PyTypeObject *)PyType_FromSpec(&event_spec);
    return event_type != NULL ? PyModule_AddObjectRef(module, "Event", (PyObject *)event_type) : -1;
}
