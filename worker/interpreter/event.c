/*
 * The type `engenho.Event`. It never changes and refers to nothing, so it needs no garbage collection. Interpreter only.
 */
#include "worker/interpreter/event.h"

#include <datetime.h>
#include <string.h>

#define DAY_US INT64_C(86400000000)

struct event {
    PyObject_VAR_HEAD
    Engenho__Event *decoded; /* NULL until somebody looks */
    uint8_t packed[];        /* Py_SIZE bytes */
};

enum event_text { TEXT_CONNECTION, TEXT_OBJECT, TEXT_ID, TEXT_NAME, TEXT_INSTANCE, TEXT_PROCESS, TEXT_FROM, TEXT_TO };

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
        PyErr_Format(PyExc_ValueError, "%lld microseconds since 1970 are outside the years 1 to 9999", (long long)unix_us);
        return NULL;
    }
    int64_t seconds = rest / 1000000;
    return PyDateTimeAPI->DateTime_FromDateAndTime((int)year, month, day, (int)(seconds / 3600), (int)(seconds / 60 % 60),
                                                   (int)(seconds % 60), (int)(rest % 1000000), PyDateTimeAPI->TimeZone_UTC,
                                                   PyDateTimeAPI->DateTimeType);
}

static struct event *event_allocate(size_t bytes)
{
    struct event *self = PyObject_NewVar(struct event, event_type, (Py_ssize_t)bytes);
    if (self != NULL) {
        self->decoded = NULL;
    }
    return self;
}

PyObject *event_new_packed(const uint8_t *data, size_t bytes)
{
    struct event *self = event_allocate(bytes);
    if (self != NULL && bytes > 0) {
        memcpy(self->packed, data, bytes);
    }
    return (PyObject *)self;
}

PyObject *event_new(const Engenho__Event *event)
{
    struct event *self = event_allocate(engenho__event__get_packed_size(event));
    if (self != NULL) {
        engenho__event__pack(event, self->packed);
    }
    return (PyObject *)self;
}

static void event_release(PyObject *object)
{
    struct event *self = (struct event *)object;
    PyTypeObject *type = Py_TYPE(object);
    if (self->decoded != NULL) {
        engenho__event__free_unpacked(self->decoded, NULL);
    }
    PyObject_Free(object);
    Py_DECREF(type);
}

static const Engenho__Event *look(PyObject *object)
{
    struct event *self = (struct event *)object;
    if (self->decoded == NULL) {
        self->decoded = engenho__event__unpack(NULL, (size_t)Py_SIZE(self), self->packed);
        if (self->decoded == NULL) {
            PyErr_SetString(PyExc_ValueError, "the record that started this execution is not an event");
        }
    }
    return self->decoded;
}

static PyObject *value_to_python(const Engenho__Value *value)
{
    switch (value != NULL ? value->kind_case : ENGENHO__VALUE__KIND__NOT_SET) {
    case ENGENHO__VALUE__KIND_NUMBER:
        return PyFloat_FromDouble(value->number);
    case ENGENHO__VALUE__KIND_INTEGER:
        return PyLong_FromLongLong(value->integer);
    case ENGENHO__VALUE__KIND_BOOLEAN:
        return PyBool_FromLong(value->boolean);
    case ENGENHO__VALUE__KIND_TEXT:
        return PyUnicode_DecodeUTF8(value->text, (Py_ssize_t)strlen(value->text), "replace");
    case ENGENHO__VALUE__KIND_BINARY:
        return PyBytes_FromStringAndSize((const char *)value->binary.data, (Py_ssize_t)value->binary.len);
    default:
        Py_RETURN_NONE;
    }
}

static PyObject *fields_to_python(Engenho__Field *const *fields, size_t count)
{
    PyObject *dictionary = PyDict_New();
    for (size_t i = 0; dictionary != NULL && i < count; i++) {
        PyObject *name = PyUnicode_DecodeUTF8(fields[i]->name, (Py_ssize_t)strlen(fields[i]->name), "replace");
        PyObject *value = name != NULL ? value_to_python(fields[i]->value) : NULL;
        if (value == NULL || PyDict_SetItem(dictionary, name, value) < 0) {
            Py_CLEAR(dictionary);
        }
        Py_XDECREF(name);
        Py_XDECREF(value);
    }
    return dictionary;
}

static PyObject *get_value(PyObject *self, void *unused)
{
    (void)unused;
    const Engenho__Event *event = look(self);
    return event != NULL ? value_to_python(event->value) : NULL;
}

static PyObject *get_previous(PyObject *self, void *unused)
{
    (void)unused;
    const Engenho__Event *event = look(self);
    return event != NULL ? value_to_python(event->previous) : NULL;
}

static PyObject *get_quality(PyObject *self, void *unused)
{
    (void)unused;
    const Engenho__Event *event = look(self);
    return event != NULL ? PyLong_FromUnsignedLong(event->quality) : NULL;
}

static PyObject *get_timestamp(PyObject *self, void *unused)
{
    (void)unused;
    const Engenho__Event *event = look(self);
    return event != NULL ? event_datetime(event->timestamp_us) : NULL;
}

static PyObject *get_payload(PyObject *self, void *unused)
{
    (void)unused;
    const Engenho__Event *event = look(self);
    if (event == NULL) {
        return NULL;
    }
    return event->named != NULL ? fields_to_python(event->named->payload, event->named->n_payload) : PyDict_New();
}

static PyObject *get_fields(PyObject *self, void *unused)
{
    (void)unused;
    const Engenho__Event *event = look(self);
    if (event == NULL) {
        return NULL;
    }
    const Engenho__Transition *transition = event->transition;
    return transition != NULL ? fields_to_python(transition->fields, transition->n_fields) : PyDict_New();
}

static const char *text_of(const Engenho__Event *event, enum event_text which)
{
    const Engenho__Transition *transition = event->transition;
    switch (which) {
    case TEXT_CONNECTION:
        return event->connection;
    case TEXT_OBJECT:
        return event->object;
    case TEXT_ID:
        return event->id;
    case TEXT_NAME:
        return event->named != NULL ? event->named->name : "";
    case TEXT_INSTANCE:
        return event->named != NULL ? event->named->instance : transition != NULL ? transition->instance : "";
    case TEXT_PROCESS:
        return transition != NULL ? transition->process : "";
    case TEXT_FROM:
        return transition != NULL ? transition->from_stage : "";
    case TEXT_TO:
        return transition != NULL ? transition->to_stage : "";
    }
    return "";
}

static PyObject *get_text(PyObject *self, void *which)
{
    const Engenho__Event *event = look(self);
    if (event == NULL) {
        return NULL;
    }
    const char *text = text_of(event, (enum event_text)(intptr_t)which);
    return PyUnicode_DecodeUTF8(text, (Py_ssize_t)strlen(text), "replace");
}

static PyObject *event_repr(PyObject *self)
{
    PyObject *value = get_value(self, NULL);
    PyObject *timestamp = value != NULL ? get_timestamp(self, NULL) : NULL;
    PyObject *text = NULL;
    if (timestamp != NULL) {
        const Engenho__Event *event = look(self);
        text = PyUnicode_FromFormat("<Event %s/%s value=%R timestamp=%S>", event->connection,
                                    event->named != NULL ? event->named->name : event->object, value, timestamp);
    }
    Py_XDECREF(value);
    Py_XDECREF(timestamp);
    return text;
}

#define TEXT(which) ((void *)(intptr_t)(which))

static PyGetSetDef event_members[] = {
    {"connection", get_text, NULL, "str: the connection that the event came from", TEXT(TEXT_CONNECTION)},
    {"object", get_text, NULL, "str: the variable of a data event, else ''", TEXT(TEXT_OBJECT)},
    {"value", get_value, NULL, "float, int, bool, str, bytes or None: the new value of a data event", NULL},
    {"previous", get_previous, NULL, "the value before, as its source gave it; None when it is not known", NULL},
    {"quality", get_quality, NULL, "int: OPC UA status code, 0 is good", NULL},
    {"timestamp", get_timestamp, NULL, "datetime: when it happened by its source; aware, UTC", NULL},
    {"name", get_text, NULL, "str: the name of an EPM event such as Period/P_2m, else ''", TEXT(TEXT_NAME)},
    {"instance", get_text, NULL, "str: the instance of an EPM event or of a process, else ''", TEXT(TEXT_INSTANCE)},
    {"payload", get_payload, NULL, "dict: the payload of an EPM event by name, else {}", NULL},
    {"process", get_text, NULL, "str: the process of a transition, else ''", TEXT(TEXT_PROCESS)},
    {"fromStage", get_text, NULL, "str: the stage that a process instance left, '' when it is new", TEXT(TEXT_FROM)},
    {"toStage", get_text, NULL, "str: the stage that a process instance entered, else ''", TEXT(TEXT_TO)},
    {"fields", get_fields, NULL, "dict: the fields of a process instance by name, else {}", NULL},
    {"id", get_text, NULL, "str: the source's own identifier of the event, or ''", TEXT(TEXT_ID)},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot event_slots[] = {
    {Py_tp_dealloc, event_release},
    {Py_tp_getset, event_members},
    {Py_tp_repr, event_repr},
    {Py_tp_doc, (void *)"What happened: a data event (object, value, previous, quality), an EPM event (name, instance, payload) or a\n"
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
