// The body of the member function that 05_starmap.cc declares.
struct Shape { double area() const; double w, h; };

double Shape::area() const { return w * h; }
